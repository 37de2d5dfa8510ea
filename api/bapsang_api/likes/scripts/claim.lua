-- Claim a post's pending changes for writing back.
-- KEYS: delta hash, claim hash. ARGV: id for a new claim. Returns the claim: field, value, field, value ... with the field `id`.
-- A claim left by a run that died is returned first; changes made since wait in the delta for the next run.
if redis.call('EXISTS', KEYS[2]) == 0 and redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('RENAME', KEYS[1], KEYS[2])
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  -- Written anew also when a dead run has made it: WAITAOF waits for this connection's own writes only. HDEL comes first because a
  -- full Redis lets a script finish that has begun to write, and what is written back makes room.
  local id = redis.call('HGET', KEYS[2], 'id') or ARGV[1]
  redis.call('HDEL', KEYS[2], 'id')
  redis.call('HSET', KEYS[2], 'id', id)
end
return redis.call('HGETALL', KEYS[2])
