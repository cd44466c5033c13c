import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs" / "fixed_points.md"


def test_code_on_the_page_runs_and_prints_what_it_says(capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    # the last one needs a trained run
    blocks = [block for block in blocks if "Analysis(run)" not in block]
    assert len(blocks) == 3
    names = {}
    # a reader's own cells draw their first weights from torch's global generator
    with torch.random.fork_rng():
        exec("\n".join(blocks), names)
    printed = capsys.readouterr().out
    for promised in re.findall(r"print\(.*?\) +# (.*(?:FixedPoints|Portrait)\(.*)", "\n".join(blocks)):
        assert promised in printed
    assert [e.kind for e in names["path"].events] == ["vanish"]
    # x = sqrt(1 / 2) is where the slope of tanh(2 x + u) is one
    assert names["path"].events[0].at == pytest.approx(2**0.5 - torch.atanh(torch.tensor(0.5**0.5)).item(), abs=1e-5)
    assert 0 < names["d"].total <= 1
