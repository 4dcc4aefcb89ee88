# SPDX-License-Identifier: Apache-2.0
"""A reference model of kinfs' merge: see ../README.md."""
