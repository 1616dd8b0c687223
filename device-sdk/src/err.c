#include "pipit/pipit.h"

const char *pipit_err_text(enum pipit_err rc)
{
#define ERR_CASE(name, value, text)                                                                \
    case name:                                                                                     \
        return text;
    switch (rc) {
        PIPIT_ERR_TABLE(ERR_CASE)
    }
#undef ERR_CASE
    return "unknown error";
}
