"""What a URL of a user store says."""

import pytest

from app.store.address import Address, Target, parse_url

URLS = {
    "redis://host": Address((Target("host", 6379),), cluster=False),
    "redis://host:1234/5": Address((Target("host", 1234, db=5),), cluster=False),
    "redis://:p%40ss@[::1]:7": Address((Target("::1", 7, False, None, "p@ss"),), cluster=False),
    "rediss://u:p@host": Address((Target("host", 6379, True, "u", "p"),), cluster=False),
    "unix:///a%20b/redis.sock": Address((Target("/a b/redis.sock", 0),), cluster=False),
    "unix://u:p@/redis.sock?db=2": Address((Target("/redis.sock", 0, False, "u", "p", 2),), cluster=False),
    "redis+cluster://a:1,b": Address((Target("a", 1), Target("b", 6379)), cluster=True),
    "rediss+cluster://u:p@a": Address((Target("a", 6379, True, "u", "p"),), cluster=True),
}


@pytest.mark.parametrize(("url", "address"), URLS.items(), ids=URLS)
def test_what_a_url_means(url: str, address: Address) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://:hunter2@host", "must begin with"),
        ("host:6379", "must begin with"),
        ("redis://:hunter2@a,b", r"redis\+cluster"),
        ("redis+cluster://:hunter2@a/3", "only number 0"),
        ("redis://:hunter2@host/first", "not a number"),
        ("unix:///socket?db=x", "not a number"),
        ("rediss://:hunter2@host?ssl_cert_reqs=none", "SPARROW_REDIS_CA"),
        ("redis://:hunter2@host:70000", "[Pp]ort"),
    ],
)
def test_other_urls_are_refused_without_their_password(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_url(url)
    assert "hunter2" not in str(caught.value)
