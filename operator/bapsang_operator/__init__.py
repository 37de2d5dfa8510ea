"""The operator that makes a `Community` run: `schema` and `spec` read it, `build` and `plan` decide, `kube` writes."""
