"""What the browsers of all these tests asked for and complained about; conftest.py has it run last."""

from __future__ import annotations


def test_nothing_was_asked_of_any_other_host_and_nobody_complained(page, photo, visits, server):
    page.show_tab("Dream", "dream")
    page.drop(photo)
    page.set_slider("Size", 96)
    page.set_slider("Octaves", 1)
    page.set_slider("Steps per octave", 1)
    page.begin()
    page.until_over("done")
    visits.note(page.browser)
    print(visits.complaints, server.log)
    assert any(url.startswith(server.url) for url in visits.requests)
    assert visits.elsewhere == []
    assert visits.complaints == []
    assert server.trap.caught == []
    assert list((server.outputs / "uploads").rglob("*.png")), "uploads have a folder of the studio's own"
    assert "Traceback" not in server.log
