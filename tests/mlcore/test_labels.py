import pytest

from mlcore.data.labels import BINARY_LEAVES, LEAVES, allowed_leaves, label_from_folder, leaves_for


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("yes", "tumour"),
        ("NO", "no_tumour"),
        ("notumor", "no_tumour"),
        ("No_Tumour", "no_tumour"),
        ("no tumor", "no_tumour"),
        ("Glioma", "glioma"),
        ("meningioma_tumor", "meningioma"),
        ("PITUITARY-TUMOUR", "pituitary"),
        ("holiday", None),
        ("", None),
    ],
)
def test_label_from_folder(folder, label):
    assert label_from_folder(folder) == label


def test_an_untyped_tumour_allows_every_type_and_never_the_healthy_leaf():
    assert allowed_leaves("tumour", LEAVES) == (1, 2, 3)
    assert allowed_leaves("no_tumour", LEAVES) == (0,)
    assert allowed_leaves("meningioma", LEAVES) == (2,)
    assert allowed_leaves("meningioma", BINARY_LEAVES) == (1,)


def test_types_are_learned_only_where_all_of_them_occur():
    assert leaves_for(["no_tumour", "glioma", "meningioma", "pituitary", "tumour"]) == LEAVES
    assert leaves_for(["no_tumour", "glioma", "tumour"]) == BINARY_LEAVES


def test_a_word_outside_the_tree_is_refused():
    with pytest.raises(ValueError, match="no label of the tree"):
        allowed_leaves("cat", LEAVES)
