import conjugacy as cj
from conjugacy.cli import main


def test_the_command_writes_the_page(small_runs, tmp_path, capsys):
    folders = [str(run.save(tmp_path / name)) for run, name in zip(small_runs, "ab")]
    out = tmp_path / "report.html"
    main(["report", *folders, "--out", str(out), "--measures", "cka", "--n_trials", "6", "--verdict", "false"])
    assert str(out) in capsys.readouterr().out
    text = out.read_text(encoding="utf-8")
    assert f"conjugacy repeat {folders[0]}" in text and "--measures cka" in text


def test_forest_of_scores(small_runs):
    comparison = cj.compare(small_runs, ("state_r2", "cka"), n_trials=8, n_resamples=10, null="auto", n_surrogates=3)
    figure = cj.plots.forest(comparison)
    assert [ax.get_title(loc="left").split()[0] for ax in figure.axes] == ["state_r2", "cka"]
    assert [len(ax.get_yticklabels()) for ax in figure.axes] == [2, 1]
    words = " ".join(text.get_text() for text in figure.legends[0].get_texts())
    assert "over trials" in words and "keeps" in words and "breaks" in words
