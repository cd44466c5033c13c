"""The notebook's own cells, Sections 2 to 5, where they are at hand; only epochs, steps and iterations are fewer."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CELLS = Path(__file__).parents[3] / "shared" / "reference" / "seed_cells.py"

SHORTER = {
    "max_epochs=500": "max_epochs=1",
    "trial_length = 500": "trial_length = 50",
    "max_iters=20000": "max_iters=20",
    "n_inits=1024": "n_inits=64",
}


@pytest.mark.skipif(not CELLS.exists(), reason="the seed notebook's cells lie outside the repository")
def test_sections_2_to_5_run_as_they_stand(tmp_path):
    code = CELLS.read_text()
    for long, short in SHORTER.items():
        assert long in code, f"the cells no longer hold {long!r}"
        code = code.replace(long, short)
    section_6 = code.index("from ctd.task_modeling.task_env.task_env import RandomTarget")
    # the notebook reshapes 200 validation trials to 800, which 1000 x 50 steps allow; counts of trials stay
    script = tmp_path / "cells.py"
    script.write_text(code[:section_6])
    (tmp_path / "home").mkdir()
    env = {**os.environ, "HOME_DIR": f"{tmp_path}/home/", "MPLBACKEND": "Agg"}
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    out = done.stdout
    assert out.startswith(f"{tmp_path}/home/\n")
    assert "All data shape: torch.Size([1000, 50, 128])" in out
    assert "Train data shape: torch.Size([800, 50, 128])" in out
    assert "Validation data shape: torch.Size([200, 50, 128])" in out
    assert "Latent shape for target model: (800, 50, 3)" in out
    assert re.search(r"Variance-weighted R2 of linear regression fit: -?\d", out)
    made = {p.relative_to(tmp_path / "home").as_posix() for p in (tmp_path / "home").rglob("*") if p.is_file()}
    assert made == {f"models_{m}/{f}.pkl" for m in ("GRU_128", "NODE_3") for f in ("model", "datamodule_sim")}
