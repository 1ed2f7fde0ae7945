"""vLLM, offline and as a server on loopback, against transformers: the same tokens, frames and failures.

They run in an environment of their own: ``make test-vllm``.
"""

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from PIL import Image

from thinkseg import testing
from thinkseg.answers import SegR1Points, get_format
from thinkseg.errors import InputError, MissingExtraError
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.engines.engine import Engine
from thinkseg.models.engines.offline_vllm import load_offline_vllm, refuse_unknown
from thinkseg.models.loading import pocket_folder
from thinkseg.models.pipeline import load_pipeline
from thinkseg.models.reasoner_loading import load_reasoner
from thinkseg.testing import FakeSegmenter
from thinkseg.types import Answer, Failure, Instruction, Request, Sample, Size

TOKENS = 24
ON_CPU = {"max_model_len": 1024, "max_num_seqs": 8, "enforce_eager": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny Qwen2.5-VL with random weights, and heads as large as vLLM's attention on CPUs has them at least."""
    made = testing.tiny_qwen2_5_vl(max_pixels=112 * 112, heads=1)
    return str(
        testing.save(tmp_path_factory.mktemp("tiny") / "m", made, {"format": "seg-r1", "max_new_tokens": TOKENS})
    )


@pytest.fixture(scope="module")
def here(folder):
    return load_reasoner(folder, CheckpointConfig(max_new_tokens=TOKENS), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def requests():
    """Two images of other shapes, several queries about the first, and one about an image that has to shrink."""
    grey = Image.linear_gradient("L")
    first, second = grey.convert("RGB").resize((112, 84)), grey.rotate(90).convert("RGB").resize((56, 112))
    large = Image.radial_gradient("L").convert("RGB").resize((400, 300))
    asked = [
        (first, "where"),
        (second, "the bright part"),
        (first, "what is dark here"),
        (large, "all"),
        (first, "where"),
    ]
    return [Request(image, Instruction(text, "Look well.")) for image, text in asked]


def test_without_vllm_it_is_one_sentence_with_what_to_install(tmp_path):
    try:
        import vllm
    except ModuleNotFoundError:
        with pytest.raises(MissingExtraError, match=r"'vllm' is needed .* pip install 'thinkseg\[vllm\]'"):
            load_offline_vllm("pocket", CheckpointConfig())
    else:
        assert vllm.__version__


def test_options_that_name_the_model_are_refused():
    with pytest.raises(InputError, match="'trust_remote_code' is no option of vLLM to give here"):
        load_offline_vllm("pocket", CheckpointConfig(), {"trust_remote_code": True})


def test_a_model_that_vllm_has_no_code_for_is_refused_by_its_kind():
    config = SimpleNamespace(model_type="fast_vlm", architectures=["FastVlmForConditionalGeneration"])
    refuse_unknown("pocket", config, {"FastVlmForConditionalGeneration", "Other"})
    with pytest.raises(InputError, match=r"no code for 'pocket', .* fast_vlm \(FastVlmForConditionalGeneration\)"):
        refuse_unknown("pocket", config, {"Other"})


vllm_only = [pytest.mark.vllm, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def there(folder):
    """The same on vLLM, in this process."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    return load_offline_vllm(folder, CheckpointConfig(max_new_tokens=TOKENS), ON_CPU)


class TestOffline:
    """On a vLLM that really runs."""

    pytestmark = vllm_only

    def test_greedy_text_and_frames_are_those_of_transformers_token_for_token(self, here, there, requests):
        expected = here.complete(requests)
        assert there.complete(requests) == expected
        assert len({completion.text for completion in expected}) > 1
        assert [there.frame_of(request.image) for request in requests] == [
            here.frame_of(request.image) for request in requests
        ]

    def test_a_prompt_that_begins_as_one_before_is_not_computed_again(self, there, requests):
        # What vLLM keeps are whole blocks of tokens, of 128 on a CPU.
        first, second = (Instruction("where is it " * 30 + end) for end in ("now", "then"))
        parameters = there._parameters("", 1, {"do_sample": False, "repetition_penalty": 1.0})
        cached = []
        for asked in (first, second):
            shown = {"prompt": there.prompt(asked), "multi_modal_data": {"image": requests[0].image}}
            cached.append(there.engine.generate([shown], [parameters], use_tqdm=False)[0].num_cached_tokens)
        assert cached[0] == 0
        assert cached[1] >= 128

    def test_several_are_drawn_and_differ(self, there, requests):
        (drawn,) = there.sample(requests[:1], 4, temperature=1.0)
        assert len(drawn) == 4
        assert len({completion.text for completion in drawn}) > 1

    def test_no_token_of_an_image_is_written(self, there, requests):
        drawn = there.sample(requests[:2], 8, temperature=2.0)
        marks = ("<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>")
        assert not any(mark in completion.text for own in drawn for completion in own for mark in marks)

    def test_with_the_format_enforced_random_weights_write_answers(self, folder, there, requests):
        form = SegR1Points()
        there.pattern, limit = form.pattern(), there.max_new_tokens
        there.max_new_tokens = 400
        try:
            drawn = there.sample(requests[:1], 6, temperature=1.0)[0]
        finally:
            there.pattern, there.max_new_tokens = None, limit
        whole = [each for each in drawn if each.finish_reason.value == "stop"]
        assert whole
        for completion in whole:
            assert isinstance(form.try_parse(completion.text, Size(100, 100)), Answer), completion.text
        assert get_format("seg-r1-points") == form

    def test_a_prompt_that_vllm_reads_otherwise_is_refused(self, there, requests):
        there._compared.clear()
        shown = requests[0].image
        prompt = there.prompt(requests[0].instruction)
        with pytest.raises(InputError, match=r"vLLM makes 3 tokens of a prompt that has \d+"):
            there._compare(prompt, shown, [1, 2, 3])

    def test_a_family_that_vllm_does_not_know_is_refused_before_an_engine_is_started(self, tmp_path):
        made = str(testing.save(tmp_path / "m", testing.tiny_fast_vlm(), {"format": "seg-r1"}))
        with pytest.raises(InputError, match=r"vLLM has no code for .* fast_vlm"):
            load_offline_vllm(made, CheckpointConfig(), ON_CPU)

    def test_an_option_that_vllm_refuses_is_one_sentence(self, folder):
        with pytest.raises(InputError, match=r"vLLM cannot run .*--engine-option"):
            load_offline_vllm(folder, CheckpointConfig(), {"no_such_option": 1})


@pytest.fixture(scope="module")
def trained():
    """The folder of a small model that has learnt to answer."""
    pytest.importorskip("thinkseg_pocket", reason="needs the pocket models: pip install ./pocket")
    return str(pocket_folder("reasoner_small"))


@pytest.fixture(scope="module")
def server(trained, tmp_path_factory):
    """A real server of vLLM on loopback."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # What `vllm serve` runs; the command itself looks for a package called vllm, which on a CPU is vllm-cpu.
    words = ["-m", "vllm.entrypoints.openai.api_server", "--model", trained, "--host", "127.0.0.1", "--port", str(port)]
    words += ["--dtype", "float32", "--max-model-len", "1024", "--max-num-seqs", "8", "--enforce-eager"]
    own = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    own.pop("VLLM_ENABLE_V1_MULTIPROCESSING", None)
    log = tmp_path_factory.mktemp("log") / "server.log"
    with log.open("w") as file:
        running = subprocess.Popen([sys.executable, *words], env=own, stdout=file, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}/v1"
    try:
        _wait_for(address, running, log)
        yield SimpleNamespace(address=address)
    finally:
        running.terminate()
        running.wait(60)


def _wait_for(address, running, log):
    from urllib.error import URLError
    from urllib.request import urlopen

    end = time.monotonic() + 900
    while time.monotonic() < end:
        assert running.poll() is None, log.read_text()[-3000:]
        try:
            urlopen(f"{address}/models", timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(2)
    raise AssertionError(log.read_text()[-3000:])


class TestServed:
    """By a `vllm serve` that really runs."""

    pytestmark = vllm_only

    def test_its_text_is_that_of_transformers(self, server, trained, requests):
        config = CheckpointConfig(max_new_tokens=TOKENS)
        pipeline = load_pipeline(trained, FakeSegmenter(), config, engine=Engine.chosen(server.address))
        here = load_reasoner(trained, config, device="cpu", dtype="float32")
        assert pipeline.reasoner.complete(requests) == here.complete(requests)

    def test_a_query_that_is_too_long_is_a_failure_of_its_sample_alone(self, server, trained, requests):
        config = CheckpointConfig(max_new_tokens=TOKENS)
        pipeline = load_pipeline(trained, FakeSegmenter(), config, engine=Engine.chosen(server.address, {"retries": 0}))
        image = requests[0].image
        samples = [Sample("a", image, "where"), Sample("b", image, "where is it " * 500), Sample("c", image, "where")]
        failures = [prediction.failure for prediction in pipeline.predict(samples)]
        assert failures == [None, Failure.UNANSWERED, None]

    def test_the_format_is_enforced_there(self, server, trained, requests):
        form = get_format("vision-reasoner")  # not the one that it has learnt to write
        config = CheckpointConfig(max_new_tokens=400, format="vision-reasoner")
        engine = Engine.chosen(server.address, None, True)
        reasoner = load_pipeline(trained, FakeSegmenter(), config, engine=engine).reasoner
        drawn = reasoner.sample(requests[:1], 4, temperature=1.0)[0]
        whole = [each for each in drawn if each.finish_reason.value == "stop"]
        assert whole
        for completion in whole:
            assert isinstance(form.try_parse(completion.text, Size(100, 100)), Answer), completion.text
