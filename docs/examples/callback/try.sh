set -eu
switchhook check callback                        # what can be seen without running it
python -m pytest -qq test_callback.py            # laws, transcript, rows
switchhook diagram callback > callback.mmd       # or: --format svg > callback.svg
python worker.py                                 # run it on a journal
python worker.py                                 # and again: nothing is done twice
switchhook events desk.callback:order-7 --api callback --journal sqlite:///desk.db --format mermaid
switchhook replay sqlite:///desk.db --api callback
