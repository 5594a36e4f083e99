import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modules.errors import ConfigError
from modules.selection.kept import AS_GIVEN, KIND, Kept, keep_list
from modules.store import Store

IDENTITIES = np.array([9, 2**63 + 5, 4, 7], dtype=np.uint64)
LABELS = np.zeros(4, dtype=np.int64)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def opened(store, digest):
    kept = Kept(digest)
    kept.open(store)
    return kept


def test_what_is_listed_is_kept_wherever_it_stands(store):
    digest = keep_list(store, IDENTITIES[[1, 3]], LABELS[:2])
    kept = opened(store, digest)
    assert kept(LABELS, IDENTITIES).tolist() == [1, 3]
    assert kept(LABELS, IDENTITIES[::-1]).tolist() == [0, 2]


@given(order=st.permutations(range(4)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equal_lists_have_one_digest_and_others_another(store, order):
    labels = np.arange(4)
    twice = keep_list(store, np.concatenate([IDENTITIES, IDENTITIES]), np.concatenate([labels, labels]))
    assert keep_list(store, IDENTITIES[list(order)], labels[list(order)]) == twice
    assert keep_list(store, IDENTITIES[:3], labels[:3]) != keep_list(store, IDENTITIES, labels)


def test_an_image_under_two_labels_is_kept_under_one(store):
    twins = np.array([7, 7, 9], dtype=np.uint64)
    labels = np.array([3, 5, 1])
    kept = opened(store, keep_list(store, twins[[0, 2]], labels[[0, 2]]))
    assert kept(labels, twins).tolist() == [0, 2]
    kept = opened(store, keep_list(store, twins, labels, np.array([AS_GIVEN, 3, AS_GIVEN])))
    assert kept.relabelled(labels, twins).tolist() == [3, 3, 1]


def test_a_list_may_say_what_a_label_should_be(store):
    labels = np.array([1, 2, 3, 4])
    kept = opened(store, keep_list(store, IDENTITIES[:3], labels[:3], np.array([5, AS_GIVEN, 0])))
    assert kept.relabelled(labels, IDENTITIES).tolist() == [5, 2, 0, 4]
    assert kept.relabelled(labels[::-1], IDENTITIES[::-1]).tolist() == [4, 0, 2, 5]
    assert opened(store, keep_list(store, IDENTITIES, labels)).relabelled(labels, IDENTITIES).tolist() == [1, 2, 3, 4]


def test_other_labels_make_another_list(store):
    others = (None, np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5]))
    digests = {keep_list(store, IDENTITIES, LABELS, labels) for labels in others}
    assert len(digests) == 3


@pytest.mark.parametrize("digest", ["", "0" * 32])
def test_an_unknown_list_is_refused(store, digest):
    with pytest.raises(ConfigError, match=r"selection.digest=\w+ names no selection under .*; allowed is the digest"):
        opened(store, digest)


def test_an_altered_list_is_not_trusted(store):
    digest = keep_list(store, IDENTITIES, LABELS)
    path = store.folder(KIND, digest) / "examples.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(ConfigError, match="names no selection"):
        opened(store, digest)
