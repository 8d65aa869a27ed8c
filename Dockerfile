# bt-neuro with the OpenCL runtime for x86-64 processors:
#   docker build -t bt-neuro .
#   docker run --rm -v "$PWD:/work" bt-neuro backtest EURUSD_H1.csv
# Nothing builds it automatically: the checks of this project run without Docker.
FROM python:3.13-slim

COPY . /src
RUN pip install --no-cache-dir "/src[cpu,tune,cluster,excel]" && rm -rf /src

# The kernels' cache must be writable for any user.
ENV XDG_CACHE_HOME=/tmp/cache
WORKDIR /work
RUN useradd --create-home trader
USER trader
ENTRYPOINT ["bt-neuro"]
CMD ["--help"]
