# The training image: all of Sparrow with the train extra (torch) and the bundled books; the collector of the event log
# runs in it too. Built from the repository root.

# What is needed, on its own, so that a change of pyproject.toml reinstalls only if it changes this.
FROM python:3.11-slim-bookworm AS requirements
WORKDIR /build
COPY pyproject.toml docker/requirements.py ./
RUN python requirements.py build > build.txt && python requirements.py run train > run.txt

# What changes seldom: the dependencies, in an environment of their own.
FROM python:3.11-slim-bookworm AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY constraints.txt ./
COPY --from=requirements /build/build.txt /build/run.txt ./
RUN python -m pip install --quiet -c constraints.txt -r build.txt cmake ninja \
 && python -m venv --without-pip /venv \
 && python -m pip --python /venv/bin/python install --quiet -c constraints.txt -r run.txt

# What changes often: our wheel, unpacked into a folder of its own. Here alone is a compiler.
FROM dependencies AS code
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends g++ >/dev/null \
 && rm -rf /var/lib/apt/lists/*
COPY CMakeLists.txt LICENSE README.md pyproject.toml ./
COPY app app
COPY index index
COPY training training
RUN python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
 && python -m pip --python /venv/bin/python install --quiet --no-deps --target /sparrow dist/*.whl

FROM python:3.11-slim-bookworm
# The folders have their owner here, so that a new volume mounted on them inherits it. The same user as in the serving image.
RUN groupadd --gid 10001 sparrow \
 && useradd --uid 10001 --gid sparrow --no-create-home --home-dir /tmp --shell /usr/sbin/nologin sparrow \
 && install -d -o sparrow -g sparrow /var/lib/sparrow /var/lib/sparrow/snapshots /var/lib/sparrow/examples \
    /var/lib/sparrow/runs /var/lib/sparrow/log
COPY --from=dependencies /venv /venv
COPY --from=code /sparrow /sparrow
COPY docker/train /usr/local/bin/train
ENV PATH=/sparrow/bin:/venv/bin:$PATH \
    PYTHONPATH=/sparrow \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    SPARROW_SNAPSHOTS=/var/lib/sparrow/snapshots
WORKDIR /var/lib/sparrow
USER 10001:10001
ENTRYPOINT ["train"]
