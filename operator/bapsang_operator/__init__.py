"""The operator that makes a `Community` run. Rooms, from the bottom up: `resource build planning problems conditions` decide
and are pure, `cluster` and `informer` know the apiserver, `controller` reconciles (docs/development.md)."""
