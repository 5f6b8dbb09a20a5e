// Energy that the processors' packages used, where the machine counts it.
#ifndef IRORI_ENERGY_H
#define IRORI_ENERGY_H

// Joules since some time, by the kernel's powercap counters (RAPL); negative when there are none to read. They wrap about
// daily: a difference below zero is no measurement.
double energy_joules(void);

#endif
