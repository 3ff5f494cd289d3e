# One image for the code server, the web server and the daemon; compose says which it is to be.
FROM python:3.11-slim-bookworm

# LightGBM's threads; every other library comes in a wheel.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
WORKDIR /opt/trading-pipeline

# The same choice as in the Makefile. Libraries first: they change less often than the code.
ARG TORCH="torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu"
COPY constraints.txt ./
RUN pip install --no-deps --constraint constraints.txt ${TORCH}
# For Kubernetes and shared storage: --build-arg EXTRAS=docker,kubernetes,s3
ARG EXTRAS="docker"
COPY pyproject.toml README.md LICENSE ./
RUN mkdir trading_pipeline \
    && touch trading_pipeline/__init__.py \
    && pip install --constraint constraints.txt ".[${EXTRAS}]"

COPY trading_pipeline trading_pipeline
RUN pip install --no-deps --editable .
COPY pipeline.toml ./
COPY docker/dagster.yaml docker/workspace.yaml docker/run_launcher.yaml docker/entrypoint.sh /opt/dagster/
# The same instance with runs in containers: docker-compose.containers.yml.
RUN mkdir /opt/dagster/containers && cd /opt/dagster && sed '/^run_launcher:/,$d' dagster.yaml | cat - run_launcher.yaml > containers/dagster.yaml

# A named volume takes over the owner of the folder that it is mounted on.
RUN useradd --create-home trader && mkdir /data && chown -R trader /data /opt/dagster
USER trader
# Else every container compiles them for itself, for a minute.
RUN python -m trading_pipeline.core.kernels
ENV DAGSTER_HOME=/opt/dagster TP_HOME=/data
VOLUME /data
ENTRYPOINT ["/opt/dagster/entrypoint.sh"]
CMD ["trading-pipeline", "--help"]
