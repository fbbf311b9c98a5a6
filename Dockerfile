# A lab server: the page, its workers and one data folder. The same image serves a CPU and, with `--gpus all`, NVIDIA GPUs: torch brings its own CUDA.
#   docker build -t peft-lab .
#   docker run --init -p 7860:7860 -v peft-lab:/data peft-lab               (with GPUs: --gpus all)
# The index gives torch with CUDA, gigabytes of it. For a small image without, name an index with CPU builds: --build-arg TORCH_INDEX=ADDRESS
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=""

# g++ compiles the blocks of models while nobody waits; without it they run as written, a fifth slower.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 lab \
    && mkdir -p /data \
    && chown lab:lab /data

WORKDIR /srv/lab
COPY requirements.txt ./
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r requirements.txt

COPY LICENSE app.py ./
COPY assets ./assets
COPY lessons ./lessons
COPY lab ./lab

USER 1000:1000
ENV LAB_DATA=/data/lab \
    LAB_CACHE=/data/cache \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
VOLUME /data
EXPOSE 7860
STOPSIGNAL SIGTERM
# Answers 503 where runs are not taken or will not be run: no worker lives, the database cannot be read, a budget is used up.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/gradio_api/lab/healthz', timeout=4)"]
ENTRYPOINT ["python", "app.py", "--host", "0.0.0.0", "--port", "7860"]
