"""The documentation's code runs as it is printed."""

import re
from pathlib import Path

import pytest
import torch

DOCS = Path(__file__).parents[1] / "docs"


PAGES = ["your_own_task", "tasks", "your_own_network", "random_target", "arm", "brain_and_body", "attractors"]


@pytest.mark.parametrize("page", PAGES)
def test_code_on_the_page_runs(page):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)
    assert blocks
    # a reader's own modules draw their first weights from torch's global generator
    with torch.random.fork_rng():
        exec("\n".join(blocks), {"__name__": "docs"})


def test_pages_name_no_file_that_is_not_there():
    root = DOCS.parent
    for path in [root / "README.md", *DOCS.glob("*.md"), *(root / "src").rglob("*.py")]:
        for name in re.findall(r"docs/([a-z_]+\.md)", path.read_text()):
            assert (DOCS / name).exists(), f"{path.name} names docs/{name}"
