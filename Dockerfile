# bt-neuro with the OpenCL runtime for x86-64 processors:
#   docker build -t bt-neuro .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" bt-neuro backtest EURUSD_H1.csv
# Nothing builds it automatically: the checks of this project run without Docker.
FROM python:3.13-slim

# .dockerignore leaves of the checkout what the wheel is made of.
COPY . /src
RUN pip install --no-cache-dir "/src[cpu,tune,cluster,excel]"

# Results belong to whom --user names, so the kernels' cache must be writable for any user.
ENV XDG_CACHE_HOME=/tmp/cache
WORKDIR /work
RUN useradd --uid 1000 --create-home trader && chown trader /work
USER 1000
ENTRYPOINT ["bt-neuro"]
CMD ["--help"]
