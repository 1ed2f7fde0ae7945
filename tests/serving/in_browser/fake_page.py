"""Serves the page with models that answer by a list: ``python fake_page.py PORT [EVALUATION …]``."""

import sys
import time

from thinkseg.answers import get_format
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.demo import Address, Furnishing, serve
from thinkseg.serving.page.browsing import Browsed
from thinkseg.serving.page.choices import Choices, Offered
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Completion, FinishReason, Size

LONG = "on and on " + "and-on-" * 90 + " "
SAID = {
    "the dogs": "<think>two of them</think><bbox>[10,20,40,60]</bbox><bbox>[50,50,90,90]</bbox>"
    "<points>[[20,30],[60,60]]</points><labels>[1,1]</labels>",
    "the bird": "<think>up there</think><bbox>[80,5,95,20]</bbox><points>[[85,10]]</points><labels>[1]</labels>",
    "a story": "<think>" + LONG * 12 + "</think><bbox></bbox><points></points><labels></labels>",
    "a cat": "<think>no cat</think><bbox></bbox><points></points><labels></labels>",
    "a riddle": Completion("<think>it may be <b>that</b>", FinishReason.LENGTH),
}


def say(request):
    return next((said for query, said in SAID.items() if query in request.instruction.user), SAID["the dogs"])


class Slow(FakeReasoner):
    def stream(self, requests, listen):
        def slow(number, text):
            time.sleep(0.7)
            return listen(number, text)

        return super().stream(requests, slow)


def pipeline(kind):
    return lambda: Pipeline(kind(say, Size(100, 100)), FakeSegmenter(), get_format("seg-r1"))


choices = Choices(
    {"quick": Offered(pipeline(FakeReasoner)), "slow": Offered(pipeline(Slow))}, {"discs": lambda: FakeSegmenter(0.3)}
)
runs = [Browsed.open(folder) for folder in sys.argv[2:]]
serve(
    choices,
    Address(port=int(sys.argv[1])),
    Furnishing("model quick · for trying out", runs=runs),
    ready=lambda url, public: print(url, flush=True),  # noqa: T201 - by which the tests learn the address
)
