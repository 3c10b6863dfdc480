from index.types import Float32, Int32, Int64

def levels() -> list[str]: ...
def step(
    dims: Int32,
    values: Float32,
    n_dims: int,
    starts: Int64,
    items: Int32,
    denominator: float,
    outputs: Int32 | None = None,
    query_dims: int = 0,
    n_threads: int = 1,
    level: str = "",
) -> tuple[float, Float32]: ...
