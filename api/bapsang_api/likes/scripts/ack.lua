-- Forget a claim whose changes are committed.
-- KEYS: delta hash, claim hash, dirty zset, users set, count.
-- ARGV: post id, now (ms), milliseconds after which a set without pending changes expires.
redis.call('DEL', KEYS[2])
if redis.call('EXISTS', KEYS[1]) == 1 then
  -- Newer changes wait: keep the post dirty, but behind those that have waited longer.
  redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
else
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('PEXPIRE', KEYS[4], ARGV[3])
  redis.call('PEXPIRE', KEYS[5], ARGV[3])
end
return 1
