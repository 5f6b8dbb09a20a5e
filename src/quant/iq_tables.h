// The codebooks of the IQ formats: each entry is a group of 8 (IQ1, IQ2) or 4 (IQ3) levels packed into 16
// bits, first value in the lowest bits; 2 bits a value in IQ1 and IQ2, 3 bits in IQ3. What level number
// stands for what value is iquants.c's business. The tables are part of the formats;
// tools/oracle/iq_tables.py wrote the file.
#ifndef QUANT_IQ_TABLES_H
#define QUANT_IQ_TABLES_H

#include <stdint.h>

extern const uint16_t quant_iq_tables_1[2048];  // IQ1_S, IQ1_M
extern const uint16_t quant_iq_tables_2xxs[256];
extern const uint16_t quant_iq_tables_2xs[512];
extern const uint16_t quant_iq_tables_2s[1024];
extern const uint16_t quant_iq_tables_3xxs[256];
extern const uint16_t quant_iq_tables_3s[512];

#endif
