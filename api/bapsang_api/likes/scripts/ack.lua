-- Forget a claim whose changes are committed.
-- KEYS: delta hash, claim hash, dirty zset, users set, bitmap, size, loader's token.
-- ARGV: post id, the claim's id, now (ms), milliseconds after which likes without pending changes expire.
-- Returns 1, or 0 when the claim was not there any more.
local mine = redis.call('HGET', KEYS[2], 'id') == ARGV[2]
if mine then
  redis.call('DEL', KEYS[2])
else
  -- Redis lost the claim, or a rival wrote it and this run woke up late. Then what is loaded may lack the rows just
  -- committed, and a claim that is there is the rival's: not this one's to delete.
  redis.call('DEL', KEYS[6])
end
-- Whoever is loading may have read the rows before the commit, and would find no claim to overlay them with.
redis.call('DEL', KEYS[7])
if redis.call('EXISTS', KEYS[2]) == 0 then
  if redis.call('EXISTS', KEYS[1]) == 1 then
    -- Newer changes wait: keep the post dirty, but behind those that have waited longer.
    redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
  else
    redis.call('ZREM', KEYS[3], ARGV[1])
    for i = 4, 6 do
      redis.call('PEXPIRE', KEYS[i], ARGV[4])
    end
  end
end
return mine and 1 or 0
