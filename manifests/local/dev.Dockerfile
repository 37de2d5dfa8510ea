
# Appended to a Dockerfile of the project by the Tiltfile: the same image, whose program starts again when a file under /app changes.
USER 0
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --only-binary :all: watchfiles \
 && chown -R 65532:65532 /app
USER 65532
# An image volume is writable even where the pod's root file system is read-only, so saved files can be put there.
VOLUME /app
ARG PROGRAM
ENV PROGRAM=${PROGRAM}
# Servers are watched; jobs (migrate, like-sync) run once, as ever.
ENTRYPOINT ["sh", "-c", "case $1 in serve|run) exec watchfiles --filter python \"$PROGRAM $*\" /app ;; *) exec $PROGRAM \"$@\" ;; esac", "--"]
