// stats.h - the retained statistics under pipit/v1/$hub/<hub>/, for anyone with mosquitto_sub.
//
// Threads:   hub thread.
//
// Ownership: keeps the last published text of each topic.
//
// Failure:   what cannot be published now is published the next time.
#ifndef PIPIT_ADMIN_STATS_H
#define PIPIT_ADMIN_STATS_H

#include "admin/status.h"
#include "base/bytes.h"

#define STATS_TOPICS_MAX 40000 // Remembered; what is beyond them is not published.

struct stats;

// Publishes retained at QoS 0; false: it could not.
typedef bool stats_publish_fn(void *context, const char *topic, struct bytes payload);

struct stats *stats_create(const char *hub_id, stats_publish_fn *publish, void *context);
void stats_destroy(struct stats *stats); // NULL is fine.

// Publishes every value that is not what was published last.
void stats_publish(struct stats *stats, const struct status_view *view);
// The connection is a new one: what the broker has retained is not known any more.
void stats_forget(struct stats *stats);
// The status alone: "online", "offline".
void stats_status(struct stats *stats, const char *text);

#endif
