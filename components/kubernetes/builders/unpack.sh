if [ -n "$PACKED" ]; then
  mkdir context
  tar -xzf "$PACKED" -C context
fi
