from app.store.breaker import FAILURES, WINDOW_SECONDS, Breaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_at_the_last_of_several_failures_in_a_row_and_says_so_once() -> None:
    breaker = Breaker()
    assert [breaker.failed() for _ in range(FAILURES + 2)] == [False] * (FAILURES - 1) + [True, False, False]
    assert breaker.open
    breaker.succeeded()
    assert not breaker.open


def test_a_success_between_them_starts_anew() -> None:
    breaker = Breaker()
    for _ in range(3):
        assert not any(breaker.failed() for _ in range(FAILURES - 1))
        breaker.succeeded()
    assert not breaker.open


def test_failures_far_apart_open_nothing() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(3 * FAILURES):
        assert not breaker.failed()
        clock.now += WINDOW_SECONDS / (FAILURES - 1) + 0.1
    assert not breaker.open
