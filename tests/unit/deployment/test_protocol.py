import json

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from modules.deployment.server.errors import RequestError
from modules.deployment.server.protocol import HEADER_LENGTH, Inference, answer, read_inference

SHAPE = (3, 2, 1)
IMAGES = arrays(np.uint8, st.tuples(st.integers(1, 4), *map(st.just, SHAPE)))


def tensor(images, **changes):
    return {"name": "images", "shape": list(images.shape), "datatype": "UINT8", "data": images.tolist(), **changes}


def read(request, binary=b"", **changes):
    head = json.dumps(request).encode()
    return read_inference(head + binary, str(len(head)) if binary else None, SHAPE, 4)


@given(IMAGES)
def test_all_forms_say_the_same(images):
    binary = tensor(images, parameters={"binary_data_size": images.size})
    del binary["data"]
    forms = [
        read({"inputs": [tensor(images)]}),
        read({"inputs": [tensor(images, data=images.ravel().tolist())]}),
        read({"inputs": [binary]}, images.tobytes()),
        read_inference(images.tobytes(), "0", SHAPE, 4),
    ]
    for found in forms:
        np.testing.assert_array_equal(found.images, images)
    assert [found.is_binary for found in forms] == [False, False, False, True]


ONE = np.zeros((1, *SHAPE), np.uint8)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ([], "not exactly one input"),
        ({}, "not exactly one input"),
        ({"inputs": [tensor(ONE), tensor(ONE)]}, "not exactly one input"),
        ({"inputs": [tensor(ONE, name="x")]}, "the input is 'x'"),
        ({"inputs": [tensor(ONE, datatype="FP32")]}, "'FP32'"),
        ({"inputs": [tensor(ONE, shape=[1, 2, 3, 1])]}, r"allowed is \[N, 3, 2, 1\] with N from 1 to 4"),
        ({"inputs": [tensor(ONE, shape=[0, *SHAPE])]}, "N from 1 to 4"),
        ({"inputs": [tensor(ONE, shape=[True, *SHAPE])]}, "the shape is"),
        ({"inputs": [tensor(ONE, shape="many")]}, "the shape is 'many'"),
        ({"inputs": [tensor(ONE, shape=[5, *SHAPE])]}, "there are 5 images; allowed are 4"),
        ({"inputs": [tensor(ONE, data=None)]}, "data must be a list"),
        ({"inputs": [tensor(ONE, data=[0] * 5)]}, "5 numbers, which do not fill"),
        ({"inputs": [tensor(ONE, data=[0] * 5 + [256])]}, "from 0 to 255"),
        ({"inputs": [tensor(ONE, data=[0] * 5 + [-1])]}, "from 0 to 255"),
        ({"inputs": [tensor(ONE, data=[0] * 5 + [0.5])]}, "from 0 to 255"),
        ({"inputs": [tensor(ONE, data=[0] * 5 + ["1"])]}, "from 0 to 255"),
        ({"inputs": [tensor(ONE, data=[0] * 5 + [True])]}, "from 0 to 255"),
        ({"inputs": [tensor(ONE, data=[[[0], [0]]] * 3)]}, "from 0 to 255"),
        ({"inputs": [tensor(ONE, data=[[1, 2, 3], [4, 5, 6]])]}, "from 0 to 255"),
        ({"inputs": [tensor(ONE, parameters=3)]}, "parameters of the input must be an object"),
        ({"inputs": [tensor(ONE, parameters={"binary_data_size": 6})]}, "but 0 bytes follow"),
        ({"inputs": [tensor(ONE)], "id": 3}, "id must be a text"),
        ({"inputs": [tensor(ONE)], "outputs": [{"name": "logits"}]}, "the output is 'logits'"),
        ({"inputs": [tensor(ONE)], "outputs": []}, "outputs must be a list of one"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(request_, said):
    with pytest.raises(RequestError, match=said) as refused:
        read(request_)
    assert refused.value.status in (400, 413)
    assert "\n" not in refused.value.sentence


def test_json_of_many_objects_is_refused_before_they_are_made():
    body = b'{"inputs": [' + b'{"":0},' * 1000 + b"0]}"
    with pytest.raises(RequestError, match="the JSON has 1,001 objects; allowed are 100") as refused:
        read_inference(body, None, SHAPE, 4)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("body", "length"),
    [(b"{", None), (b"", None), (b"12345", "0"), (b"", "0"), (b"{}", "9"), (b"{}", "-1"), (b"{}", "x")],
)
def test_bodies_that_are_no_request(body, length):
    with pytest.raises(RequestError) as refused:
        read_inference(body, length, SHAPE, 4)
    assert refused.value.status == 400


def test_answers_have_the_same_numbers_in_both_forms():
    probabilities = np.random.default_rng(0).random((2, 3), dtype=np.float32)
    body, headers = answer(Inference(ONE, "mine", False), probabilities, "m", "v")
    content = orjson.loads(body)
    assert (content["model_name"], content["model_version"], content["id"]) == ("m", "v", "mine")
    (output,) = content["outputs"]
    np.testing.assert_array_equal(np.float32(output["data"]).reshape(output["shape"]), probabilities)
    body, headers = answer(Inference(ONE, None, True), probabilities, "m", "v")
    head = int(headers[HEADER_LENGTH])
    (output,) = orjson.loads(body[:head])["outputs"]
    assert output["parameters"] == {"binary_data_size": 24}
    np.testing.assert_array_equal(np.frombuffer(body[head:], "<f4").reshape(2, 3), probabilities)
