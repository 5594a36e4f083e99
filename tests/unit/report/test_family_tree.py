from xml.etree import ElementTree

from made_up_study import made_up_view

from modules.report.family_tree import described, family_tree

SVG = "{http://www.w3.org/2000/svg}"


def test_every_row_of_the_ledger_is_a_node_with_a_branch() -> None:
    view = made_up_view(4)
    num_rows = sum(len(generation.rows) for generation in view.ledger.generations) + len(view.ledger.final)
    root = ElementTree.fromstring(family_tree(view))
    assert len(root.findall(f".//{SVG}rect")) == num_rows + 1
    assert len(root.findall(f"{SVG}path")) == num_rows


def test_kept_branches_are_solid_and_the_others_dashed() -> None:
    view = made_up_view(4)
    rows = [row for generation in view.ledger.generations for row in generation.rows] + list(view.ledger.final)
    paths = ElementTree.fromstring(family_tree(view)).findall(f"{SVG}path")
    dashed = [path for path in paths if "stroke-dasharray" in path.attrib]
    assert len(dashed) == sum(not row.kept for row in rows)


def test_the_trunk_runs_along_the_top() -> None:
    view = made_up_view(4)
    paths = ElementTree.fromstring(family_tree(view)).findall(f"{SVG}path")
    trunk = [path.attrib["d"].split() for path in paths if path.attrib["stroke-width"] == "2.5"]
    assert len(trunk) == len(view.ledger.generations) + 1
    assert len({d[index] for d in trunk for index in (1, 3, 5, 7)} | {d[7] for d in trunk}) == 1


def test_everything_lies_within_the_picture() -> None:
    root = ElementTree.fromstring(family_tree(made_up_view(6)))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for box in root.findall(f".//{SVG}rect"):
        assert float(box.attrib["x"]) + float(box.attrib["width"]) < width
        assert float(box.attrib["y"]) + float(box.attrib["height"]) < height


def test_it_can_be_told_in_words() -> None:
    words = described(made_up_view(3))
    assert "Generation 1 kept widen_layer; not kept: add_layer, narrow_layer." in words
    assert "Generation 3 kept the control" in words
    assert "final: from scratch: not kept." in words


def test_a_generation_may_begin_from_an_edit_that_was_not_kept_as_on_a_front() -> None:
    view = made_up_view(2)
    first, second = view.ledger.generations
    other = next(row for row in first.rows if not row.kept and row.edit != "control" and row.trials)
    rows = tuple(row.updated(parent=other.recipe) for row in second.rows)
    generations = (first, second.updated(rows=rows))
    moved = view.updated(ledger=view.ledger.updated(generations=generations))
    before, after = (_starts(each) for each in (view, moved))
    assert before != after
    assert len({height for height in after if height not in before}) == 1  # all of them from that one node


def _starts(view) -> list[str]:
    """The heights at which the branches to the second generation begin."""
    paths = ElementTree.fromstring(family_tree(view)).findall(f"{SVG}path")
    columns = [path.attrib["d"].split()[:2] for path in paths]
    begins = sorted({x for x, _ in columns}, key=lambda x: float(x[1:]))
    return [y for x, y in columns if x == begins[1]]


def test_a_member_of_the_front_grows_from_the_network_that_it_was() -> None:
    view = made_up_view(2)
    other = next(
        row for row in view.ledger.generations[0].rows if not row.kept and row.edit != "control" and row.trials
    )
    continued, scratch = view.ledger.final
    moved = view.updated(ledger=view.ledger.updated(final=(continued, scratch.updated(parent=other.recipe))))
    before, after = (_starts(each) for each in (view, moved))
    assert len([height for height in after if height not in before]) == 1
