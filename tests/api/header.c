// The public header alone, as a program of somebody else includes it; compiled as C11 and, copied, as C++11.
#include <irori.h>

int main(void)
{
    return irori_version()[0] == 0;
}
