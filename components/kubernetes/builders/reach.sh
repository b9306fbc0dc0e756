reach() {
  patience=$(( $(date +%s) + PATIENCE ))
  until @buildctl@ debug workers > /dev/null 2> reason; do
    echo "@unusable@ $BUILDKIT_HOST: $(tail -n 1 reason)" >&2
    if grep -qE 'tls: |x509: ' reason || [ "$(date +%s)" -gt "$patience" ]; then exit 1; fi
    sleep 2
  done
}
