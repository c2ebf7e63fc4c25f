//! What is remembered: events, counters and histograms in memory-mapped files. Knows records, not their meaning.
