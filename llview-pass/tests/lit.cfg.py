# SPDX-License-Identifier: GPL-2.0-only
"""Tests of the LLView plugins: what is refused, and what IR comes out."""
import os

import lit.formats

config.name = "llview"
config.test_format = lit.formats.ShTest(True)
config.suffixes = [".c"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(lit_config.params["plugins"], "lit")
config.environment["LLVIEW_PLUGINS"] = lit_config.params["plugins"]
source = os.path.dirname(config.test_source_root)
config.environment["PATH"] = os.pathsep.join([lit_config.params["tools"], os.environ["PATH"]])
config.substitutions += [
    ("%llview-cc", os.path.join(source, "llview-cc") + " -I " + config.test_source_root),
]
