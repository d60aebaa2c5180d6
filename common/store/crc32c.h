/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), with the processor's instruction where it has one. */
#ifndef MSSQL_STORE_CRC32C_H
#define MSSQL_STORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *data, size_t len);
/* The way without the instruction, for the test that both agree. */
uint32_t crc32c_plain(const void *data, size_t len);

#endif
