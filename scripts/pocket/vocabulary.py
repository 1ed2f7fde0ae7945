"""Words of the pocket reasoner beyond the scenes' own queries: names of kinds, other words for kinds, ways to ask.

A name belongs to a kind ("penguin" to "bird"). The cut-outs show a few hundred things; with the names the reasoner
knows which kind a name that it has never seen an image of belongs to. Written by hand.
"""

NAMES_OF_KIND: dict[str, str] = {
    "bird": "penguin eagle hawk falcon owl parrot macaw cockatoo sparrow robin crow raven magpie pigeon dove duck "
    "goose swan flamingo pelican heron stork crane gull seagull tern kingfisher woodpecker hummingbird "
    "finch canary budgie peacock turkey chicken hen rooster chick ostrich emu kiwi toucan hornbill "
    "vulture condor puffin cormorant kookaburra starling thrush blackbird wren swallow pheasant quail "
    "partridge grouse peahen rosella lorikeet ibis spoonbill",
    "mammal": "elephant rhino rhinoceros hippo hippopotamus giraffe zebra lion tiger leopard cheetah jaguar panther "
    "lynx puma cougar bear panda koala kangaroo wallaby wombat monkey gorilla chimpanzee orangutan baboon "
    "lemur gibbon wolf fox coyote hyena jackal raccoon badger otter weasel ferret mink skunk sloth "
    "anteater armadillo hedgehog porcupine mole bat whale dolphin porpoise seal walrus manatee llama "
    "alpaca camel donkey mule moose elk bison buffalo yak",
    "cat": "kitten kitty tomcat tabby pussycat",
    "dog": "puppy hound terrier poodle spaniel retriever labrador sheepdog bulldog dachshund husky beagle collie "
    "corgi",
    "horse": "pony foal mare stallion colt",
    "cattle": "cow bull calf ox bullock heifer",
    "deer": "stag doe fawn reindeer roe",
    "pig": "piglet hog boar sow swine",
    "sheep or goat": "sheep lamb goat ram ewe kid",
    "antelope": "gazelle gnu wildebeest impala blackbuck oryx",
    "rodent": "mouse rat hamster gerbil squirrel chipmunk beaver rabbit hare guineapig marmot vole capybara",
    "fish": "shark salmon trout tuna carp goldfish clownfish cod pike perch herring sardine ray grouper lionfish "
    "catfish bass eel swordfish",
    "insect": "butterfly moth bee wasp hornet fly mosquito beetle ladybug ladybird ant grasshopper cricket "
    "dragonfly locust mantis cockroach bug caterpillar",
    "animal": "frog toad snake lizard gecko iguana chameleon turtle tortoise crocodile alligator spider scorpion "
    "crab lobster shrimp snail slug octopus squid jellyfish starfish seahorse worm creature beast pet",
    "flower": "rose tulip daisy lily orchid sunflower dandelion poppy daffodil iris lotus hibiscus carnation violet "
    "pansy lilac marigold blossom bloom",
    "plant": "tree bush shrub cactus fern palm oak pine leaf leaves grass herb ivy bamboo vine",
    "fruit": "apple orange banana pear peach plum cherry cherries grape grapes strawberry raspberry blueberry "
    "lemon lime mango papaya pineapple melon watermelon kiwi apricot fig pomegranate grapefruit coconut "
    "mandarin berry berries",
    "vegetable": "carrot potato tomato onion garlic cabbage lettuce broccoli cauliflower cucumber pepper pumpkin "
    "squash corn peas beans bean aubergine eggplant radish turnip beet leek celery spinach zucchini chili "
    "artichoke asparagus",
    "food": "bread cake cookie biscuit pie pizza sandwich burger cheese egg meat ham sausage soup salad candy "
    "sweet chocolate nut walnut almond peanut hazelnut pudding meal snack",
    "mushroom": "toadstool fungus cep champignon",
    "vehicle": "car truck lorry bus van bicycle bike motorcycle motorbike scooter tractor tank train tram taxi "
    "ambulance excavator bulldozer digger jeep wagon trailer",
    "aircraft": "plane airplane aeroplane jet helicopter glider airliner biplane",
    "boat": "ship sailboat yacht canoe ferry kayak",
    "instrument": "guitar violin piano trumpet trombone flute clarinet saxophone drum drums cello harp accordion banjo "
    "horn tuba xylophone ukulele recorder oboe",
    "tool": "hammer saw screwdriver wrench spanner pliers drill chisel axe shovel spade rake ruler knife scissors",
    "ball": "football basketball baseball soccerball volleyball tennisball",
    "planet": "moon earth mars jupiter saturn venus mercury neptune uranus pluto sun star globe",
    "gravestone": "tombstone grave headstone memorial",
    "person": "man woman boy girl child baby people fireman firefighter soldier astronaut player worker",
}  # fmt: skip
"""Names by kind, as people write them."""

OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "vehicle": ("means of transport",),
    "instrument": ("musical instrument",),
    "gravestone": ("stone",),
    "animal": ("living creature",),
    "plant": ("greenery",),
    "food": ("something to eat",),
}
"""Other ways to name a kind."""

THE_MAIN_ONE = (
    "the object", "the main thing", "the thing", "the subject", "the foreground object", "the salient object", "it",
    "what stands out", "the most prominent object", "the thing in the middle of attention", "the foreground",
    "the primary object", "the one thing that is here",
)  # fmt: skip
"""More ways to ask for what stands out."""

REQUESTS = (
    "{}", "{}", "{}", "{}", "segment {}", "find {}", "show me {}", "please segment {}", "where is {}?", "{} please",
    "can you find {}?", "segment {} in this image", "which one is {}?", "find {} in the image", "mark {}", "select {}",
)  # fmt: skip
"""How a request is worded around what is asked for."""


def names() -> dict[str, str]:
    """The kind of each name; a name of two kinds belongs to the first."""
    found: dict[str, str] = {}
    for kind, words in NAMES_OF_KIND.items():
        for word in words.split():
            found.setdefault(word, kind)
    return found
