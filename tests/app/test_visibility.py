from tests.app.visibility import count_visible


def test_an_event_is_visible_to_the_next_request_from_another_worker() -> None:
    assert count_visible(200) == 200
