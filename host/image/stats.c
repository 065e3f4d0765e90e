// SPDX-License-Identifier: GPL-2.0-only
#include "file.h"
#include "image.h"
#include "proto/stats.pb-c.h"

struct ovm_error *ovm_image_write_stats(const struct ovm_image_stats *stats, int dir_fd)
{
	StatsEntry entry = STATS_ENTRY__INIT;
	DumpStatsEntry dump = DUMP_STATS_ENTRY__INIT;

	dump.freezing_time = stats->freezing_us;
	dump.frozen_time = stats->frozen_us;
	dump.memdump_time = stats->memdump_us;
	dump.memwrite_time = stats->memwrite_us;
	dump.pages_scanned = stats->pages_scanned;
	dump.pages_skipped_parent = stats->pages_skipped_parent;
	dump.pages_written = stats->pages_written;
	dump.pages_lazy = stats->pages_lazy;
	/* Pipes and searches by inode are CRIU's ways; the keys are always there. */
	dump.has_irmap_resolve = dump.has_page_pipes = dump.has_page_pipe_bufs = true;
	dump.has_shpages_scanned = dump.has_shpages_skipped_parent = true;
	dump.has_shpages_written = true;
	dump.shpages_scanned = stats->shpages_scanned;
	dump.shpages_skipped_parent = stats->shpages_skipped_parent;
	dump.shpages_written = stats->shpages_written;
	entry.dump = &dump;
	return ovm_image_file_write(dir_fd, OVM_IMAGE_STATS, 0, &entry.base);
}
