"""Code in Feast's registry is refused, by training and publishing, and never executed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from micromoment.stores import feast_registry
from micromoment.stores.errors import RegistryCodeError
from tests.support.feature_stores import a_workspace, published, take_ups
from tests.support.planted_registry import PLANTS, plant
from training.feature_store import FeatureWorkspace, apply, materialize, user_rows_at

ROOT = Path(__file__).parents[2]
# The files of Feast that execute, unpickle or import by name, and what of it a registry can cause.
EXECUTING = {
    "dataset_utils.py",  # a name given by the caller
    "dqm/profilers/ge_profiler.py",  # dill
    "errors.py",  # of a registry server's answer: classes below feast.errors
    "importer.py",  # what the others import by
    "infra/common/serde.py",  # in a remote worker: its own configuration
    "infra/compute_engines/ray/nodes.py",  # dill
    "infra/infra_object.py",  # guarded
    "infra/offline_stores/offline_utils.py",  # feature_store.yaml
    "infra/online_stores/helpers.py",  # feature_store.yaml
    "infra/online_stores/online_store.py",  # feature_store.yaml
    "infra/passthrough_provider.py",  # feature_store.yaml
    "infra/provider.py",  # feature_store.yaml
    "infra/registry/registry.py",  # feature_store.yaml
    "permissions/permission.py",  # a table of Feast's own classes
    "repo_operations.py",  # the folder that `feast apply` is called in
    "repo_config.py",  # feature_store.yaml; a source's class: guarded
    "saved_dataset.py",  # guarded
    "stream_feature_view.py",  # dill
    "transformation/factory.py",  # a table of Feast's own classes
    "transformation/ray_transformation.py",  # dill
    "transformation/substrait_transformation.py",  # dill
    "transformation/udf_rehydrate.py",  # dill, and the function that execs is replaced
}
# Programs and servers of Feast's that this project does not run.
NOT_RUN = re.compile(
    r"^(cli|ui|templates|infra/(\w+/)?contrib)/|/aerospike_|_server\.py$|^torch_wrapper|^image_"
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registered workspace with the snapshots of a few visitors."""
    return a_workspace(tmp_path_factory.mktemp("workspace")).root


def planted(original: Path, folder: Path, kind: str) -> tuple[FeatureWorkspace, Path]:
    """Copy the workspace and plant code into its registry."""
    root = Path(shutil.copytree(original, folder / kind))
    return FeatureWorkspace(root), plant(root / "registry.db", kind)


def test_the_plants_are_executed_without_the_guard(original: Path, tmp_path: Path) -> None:
    """Feast as it is runs every one of them that its installed parts can read."""
    touched = {kind: planted(original, tmp_path, kind)[1] for kind in PLANTS}
    registries = [str(path.with_name("registry.db")) for path in touched.values()]
    command = [sys.executable, "-m", "tests.support.planted_registry", *registries]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    executed = {kind for kind, path in touched.items() if path.exists()}
    # Profilers need a package of their own, which whoever installs it gets the risk with.
    assert executed == set(PLANTS) - {"profiler"}, done.stderr


@pytest.mark.parametrize("kind", sorted(PLANTS))
@pytest.mark.parametrize(
    "use",
    [
        apply,
        lambda workspace: materialize(workspace, published(3)),
        lambda workspace: user_rows_at(workspace, take_ups([("a", published(3))])),
    ],
    ids=["apply", "publish", "join"],
)
def test_code_in_the_registry_is_refused(
    original: Path, tmp_path: Path, kind: str, use: Callable[[FeatureWorkspace], object]
) -> None:
    """Registering, publishing and joining name the place; nothing of it is executed."""
    workspace, touched = planted(original, tmp_path, kind)
    with pytest.raises(RegistryCodeError) as caught:
        use(workspace)
    assert re.match(
        r"(on_demand_|stream_)?feature_view|data_sources|validation", caught.value.place
    )
    assert not touched.exists()


@pytest.mark.parametrize("kind", sorted(set(PLANTS) - {"profiler", "version"}))
def test_code_is_refused_where_feast_would_execute_it(
    original: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the look at the whole, as where a registry is no file, it is refused, too."""
    monkeypatch.setattr(feast_registry, "refuse_code", lambda _registry: None)
    workspace, touched = planted(original, tmp_path, kind)
    registry = workspace.open().registry
    listed = (
        registry.list_data_sources,
        registry.list_feature_views,
        registry.list_stream_feature_views,
        registry.list_on_demand_feature_views,
    )
    refused = 0
    for read in listed:
        try:
            read(project="micromoment")
        except RegistryCodeError:
            refused += 1
    assert refused == 1
    assert not touched.exists()


def test_the_feast_command_refuses_it_too(original: Path, tmp_path: Path) -> None:
    """`feast apply` imports the definitions, and the guard with them, before it reads any."""
    workspace, touched = planted(original, tmp_path, "on-demand-text")
    repo = shutil.copytree(ROOT / "feature_repo", tmp_path / "repo")
    done = subprocess.run(
        [Path(sys.executable).with_name("feast"), "-f", "feature_store.env.yaml", "apply"],
        cwd=repo,
        env={**os.environ, "MICROMOMENT_FEATURE_STORE": str(workspace.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "RegistryCodeError" in done.stderr + done.stdout
    assert not touched.exists()


def test_a_registry_without_code_opens(original: Path, tmp_path: Path) -> None:
    """What this project itself registers holds none; applied again it has earlier versions."""
    workspace = FeatureWorkspace(Path(shutil.copytree(original, tmp_path / "clean")))
    apply(workspace)
    assert materialize(workspace, published(3)) == 3


def test_all_of_feast_that_executes_is_known() -> None:
    """Whoever takes a newer Feast looks at each file that has begun to execute something."""
    spec = find_spec("feast")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    executing = re.compile(
        r"\b(?:dill|pickle|cloudpickle|marshal)\.loads?\(|(?<![.\w])exec\(|(?<![.\w])eval\(|import_class\(|import_module\("
    )
    found = set()
    for path in folder.rglob("*.py"):
        name = path.relative_to(folder).as_posix()
        if not NOT_RUN.search(name) and executing.search(_code(path)):
            found.add(name)
    assert found == EXECUTING


def _code(path: Path) -> str:
    return re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
