# ./dev run comes with the commands that it shows.
# shellcheck shell=bash
run() { die "'run' is not there yet"; }
