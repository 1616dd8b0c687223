// schema.h - the tables of version STORE_SCHEMA_VERSION.
// Threads: any; constant.
#ifndef PIPIT_STORE_SCHEMA_H
#define PIPIT_STORE_SCHEMA_H

// Statements that make an empty file a store; run in one transaction.
extern const char store_schema_sql[];

#endif
