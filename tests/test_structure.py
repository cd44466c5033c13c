"""The house: imports point down only, without circles; one stem, one subject; measures in the file of their family."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import conjugacy
from conjugacy.similarity.measure import FAMILIES, get_measure

ROOT = Path(conjugacy.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# each layer may import itself and those below it, that is, later in this list; CONTRIBUTING prints it
LAYERS = (
    "cli",
    "ctd",
    "demo",
    "report",
    "plots",
    "analysis",
    "populations",
    "training",
    "runs",
    "closed_loop",
    "recordings",
    "similarity",
    "dynamics",
    "tasks",
    "models",
    "networks",
    "arm",
    "system trials",
    "_own_step",
    "_calling _recurrent",
    "_arrays _model_use",
    "_check _config _csv _files _html _jit _json _lazy _moved _notes _npz _plain_torch _progress "
    "_renamed _threads _torch _version",
)
HEIGHT = {name: i for i, layer in enumerate(LAYERS) for name in layer.split()}
# methods that only hand on to a higher floor: file -> what it asks `higher` of `_lazy.py` for
DOORS = {
    "analysis/analysis.py": {"plots._trial_io:trial_io", "plots.latents:scree", "plots.latents:latents_3d"},
    "analysis/comparison.py": {"plots.overlay:affine_overlay", "report.report_page:write_report"},
    "analysis/births.py": {"plots._learning:points_through_learning", "plots._learning_movie:animate_points"},
    "analysis/generalising_alike.py": {"plots._generalisation:generalising_alike"},
    "analysis/learning.py": {"plots._learning:learning_curve"},
    "analysis/lesion_table.py": {"plots._lesions:lesion_effects"},
    "analysis/motifs.py": {"plots._motifs:shared_motifs"},
    "dynamics/points.py": {
        "dynamics._attractors:attractors",
        "dynamics._held_certificate:held_certificate",
        "dynamics._portrait:portrait",
    },
    "tasks/flip_flop.py": {"plots.flip_flop:trial", "plots.flip_flop:corners"},
    "tasks/multitask.py": {"plots.multitask:trial"},
    "training/__init__.py": {"populations.population:train_population"},
}
MADE_UP = {
    ("_lazy.py", "f'conjugacy.{module}'"),
    ("_lazy.py", "f'{package}.{public[name]}'"),
    ("_lazy.py", "f'{package}.{name}'"),
    ("_lazy.py", "f'conjugacy.{names[name]}'"),
    ("_moved.py", "f'conjugacy.{module}'"),
    ("_install.py", "f'conjugacy.{module.__name__}'"),
    ("measure.py", "f'conjugacy.similarity.{module}'"),
    ("train_flags.py", "f'conjugacy.{package}'"),
    ("commands.py", "module"),
    ("classes.py", "module"),
    ("nwb.py", "'pynwb'"),
    ("ray_workers.py", "'ray'"),
}
SYSTEMS_ONLY = {"dynamics", "similarity", "recordings"}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(p): p for p in FILES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path, lazy_too: bool = True):
    """(module of conjugacy, line) for every import of a file, wherever it stands; those for type checkers apart."""
    tree = tree_of(path)
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped.update(inner for statement in node.body for inner in ast.walk(statement))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if (node.module or "").split(".")[0] == "conjugacy":
                    yield (full if full in MODULES else str(node.module)), node.lineno
        elif isinstance(node, ast.Import):
            yield from ((a.name, node.lineno) for a in node.names if a.name.split(".")[0] == "conjugacy")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            yield f"importlib:{ast.unparse(node.args[0])}", node.lineno


def doors(path: Path):
    """What a file asks of the door to higher floors: "module:name"."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "higher":
            assert all(isinstance(a, ast.Constant) for a in node.args), f"{path}:{node.lineno}: no plain names"
            yield ":".join(str(ast.literal_eval(a)) for a in node.args)


def floor(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def lazily_public(path: Path) -> set[str]:
    """Modules that the lazy table of a package names."""
    package = module_of(path)
    for node in tree_of(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_PUBLIC":
            return {f"{package}.{m}" for m in ast.literal_eval(node.value).values()}
    return set()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    here = floor(module_of(path))
    if here == "__init__":  # the face names what it shows; nothing may import it, see below
        return
    assert here in HEIGHT, f"{path.relative_to(ROOT)}: on no floor; give it one in LAYERS"
    for module, line in imports(path):
        place = f"{path.relative_to(ROOT)}:{line}"
        if module.startswith("importlib:"):
            # a name made up at run time: old paths and lazy tables, a measure's family, Ray, and classes of the user's
            assert (path.name, module.removeprefix("importlib:")) in MADE_UP, f"{place} imports {module}"
            continue
        assert module != "conjugacy", f"{place} imports the face, and so everything"
        assert module in MODULES, f"{place} imports {module}, an old path"
        assert HEIGHT[floor(module)] >= HEIGHT[here], f"{place} imports {module}, which lies above it"
        if here in SYSTEMS_ONLY:
            assert HEIGHT[floor(module)] >= HEIGHT["arm"] or floor(module) in SYSTEMS_ONLY, f"{place} imports {module}"
            assert floor(module) not in ("arm", "tasks", "networks"), f"{place} imports {module}"


def test_contributing_prints_the_floors():
    block = (ROOT.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8").split("checks it.\n\n", 1)[1]
    printed = [line.strip() for line in block.split("\n\nA method", 1)[0].splitlines()]
    assert len(printed) == len(LAYERS)
    for line, floor_names in zip(printed, LAYERS):
        assert line.split()[: len(floor_names.split())] == floor_names.split(), line


def test_what_is_handed_on_to_a_higher_floor_is_listed_here():
    assert {str(p.relative_to(ROOT)): set(doors(p)) for p in FILES if set(doors(p))} == DOORS


def test_there_is_no_circle_between_files():
    below = {module_of(p): {m for m, _ in imports(p) if m in MODULES} - {module_of(p)} for p in FILES}
    for path in FILES:
        if path.name == "__init__.py":
            below[module_of(path)] |= lazily_public(path) if module_of(path) != "conjugacy" else set()
    # importing a.b loads a too; where the package is lazy that is all it does
    seen, path = {}, []

    def walk(module):
        seen[module] = "open"
        path.append(module)
        for other in sorted(below[module]):
            assert seen.get(other) != "open", "a circle: " + " > ".join([*path[path.index(other) :], other])
            if other not in seen:
                walk(other)
        path.pop()
        seen[module] = "done"

    for module in below:
        if module not in seen:
            walk(module)


def test_one_stem_one_subject():
    stems: dict[str, list[Path]] = {}
    for path in FILES:
        if (
            path.stem != "__init__"
            and path.parent.name not in ("plots", "compiled")
            and "ctd" not in path.relative_to(ROOT).parts
        ):
            stems.setdefault(path.stem.strip("_"), []).append(path)
    assert {stem: paths for stem, paths in stems.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_measures_are_in_the_file_of_their_family(family):
    for name in FAMILIES[family]:
        measure = get_measure(name)
        assert measure.name == name
        assert type(measure).__module__.removeprefix("conjugacy.similarity.").lstrip("_") == family


def test_no_module_hides_a_public_function_of_its_name():
    for path in FILES:
        if path.name == "__init__.py" and path.parent != ROOT:
            public = next(
                (
                    ast.literal_eval(n.value)
                    for n in tree_of(path).body
                    if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "_PUBLIC"
                ),
                {},
            )
            assert not {p.stem for p in path.parent.glob("*.py")} & set(public), path


def test_nothing_else_knows_the_paths_of_ctdb_and_no_file_needs_them_installed():
    # on a clone it makes the call
    assert [p.name for p in (ROOT.parent / "ctd").rglob("*.py")] == ["__init__.py"]
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) ctd\b", text, re.M), path
        above = path.parent == ROOT or "ctd" in path.relative_to(ROOT).parts
        assert above or not re.search(r"^\s*(import|from) conjugacy\.ctd\b", text, re.M), path


def test_there_is_no_drawer_called_utils():
    assert not [p for p in FILES if p.stem in ("utils", "util", "helpers", "misc", "common")]


def test_only_the_command_line_and_the_demo_print():
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                assert path.name in ("cli.py", "demo.py") or "cli" in path.parts, f"{path}:{node.lineno} prints"
