from app.store.breaker import FAILURES, PROBE_SECONDS, WINDOW_SECONDS, Breaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed()


def test_it_opens_at_the_last_of_several_failures_in_a_row() -> None:
    breaker = Breaker()
    fail(breaker, FAILURES - 1)
    assert not breaker.refuses()
    breaker.failed()
    assert breaker.refuses()
    breaker.succeeded()
    assert not breaker.refuses()


def test_open_it_lets_one_caller_through_now_and_then() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    fail(breaker, FAILURES)
    for _ in range(3):
        clock.now += PROBE_SECONDS - 0.001
        assert breaker.refuses()
        clock.now += PROBE_SECONDS / 2 + 0.002
        assert [breaker.refuses() for _ in range(3)] == [False, True, True]
        breaker.failed()


def test_a_success_between_them_starts_anew() -> None:
    breaker = Breaker()
    for _ in range(3):
        fail(breaker, FAILURES - 1)
        breaker.succeeded()
    assert not breaker.open


def test_failures_far_apart_open_nothing() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(3 * FAILURES):
        breaker.failed()
        assert not breaker.open
        clock.now += WINDOW_SECONDS / (FAILURES - 1) + 0.1
