# DiffuseMorph for processors, as a container:
#   docker build --tag diffusemorph .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" diffusemorph register FIXED MOVING --output result
#
# Built and run by buildah, as another user than root, on a Debian 13 made by debootstrap. NOT RUN SO FAR with docker.
#
# --build-arg TORCH_INDEX=ADDRESS takes torch from an index of builds for processors alone, as torch's own page names it.
# Without, the image holds the build for NVIDIA GPUs, which works without one too and is some gigabytes larger.

FROM debian:trixie-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv
RUN python3 -m venv /opt/diffusemorph
ARG TORCH_INDEX=""
RUN /opt/diffusemorph/bin/pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch==2.13.0
COPY pyproject.toml setup.py README.md LICENSE.txt /source/
COPY DiffuseMorphCore /source/DiffuseMorphCore
COPY Resources/SampleData /source/Resources/SampleData
RUN /opt/diffusemorph/bin/pip install --no-cache-dir "/source[apply]"

FROM debian:trixie-slim
# The last three are for vtk, which reads surfaces.
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 libgl1 libx11-6 libxrender1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/diffusemorph /opt/diffusemorph
# Whoever runs it need not have a home.
ENV PATH=/opt/diffusemorph/bin:$PATH MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /data
ENTRYPOINT ["diffusemorph"]
