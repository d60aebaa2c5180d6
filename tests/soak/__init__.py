# SPDX-License-Identifier: Apache-2.0
"""Random kills under load: `python3 -m soak --kills N [--seed S]`, and the driver that the integration tests share."""
