# The runner of Autobahn's test suite, with its packages in the folder that is the first argument.
import site
import sys

site.addsitedir(sys.argv.pop(1))
from autobahntestsuite.wstest import run

run()
