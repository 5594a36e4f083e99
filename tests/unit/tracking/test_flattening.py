from hypothesis import given
from hypothesis import strategies as st

from modules.tracking.flattening import LONGEST_VALUE, flattened

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=10,
)


def test_nested_names_are_joined() -> None:
    data = {
        "learning_rate": 0.01,
        "optimizer": {"target": "torch.optim.SGD", "arguments": {"momentum": 0.9}},
        "none": None,
    }
    assert flattened(data) == {
        "learning_rate": "0.01",
        "optimizer.target": "torch.optim.SGD",
        "optimizer.arguments.momentum": "0.9",
        "none": "null",
    }


def test_lists_and_empty_mappings_become_texts() -> None:
    assert flattened({"classes": ["a", "é"], "transforms": {}}) == {"classes": '["a", "é"]', "transforms": "{}"}


@given(st.dictionaries(st.text(min_size=1, max_size=9), plain, max_size=5))
def test_every_value_fits(data: dict[str, object]) -> None:
    flat = flattened(data)
    assert all(len(text) <= LONGEST_VALUE for text in flat.values())
    assert bool(flat) == bool(data)
