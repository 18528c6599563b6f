sampledir = $(docdir)
dist_sample_DATA = etc/sinkd.conf
