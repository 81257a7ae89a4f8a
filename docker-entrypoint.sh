#!/bin/sh
# The first start of a volume writes its configuration; later ones leave it alone.
set -e
if [ "$1" = daemon ] && [ ! -f "$FLOTILLA_PATH/service.json" ]; then flotilla init; fi
exec flotilla "$@"
