-- Claim a post's pending changes for writing back.
-- KEYS: delta hash, claim hash. ARGV: id for a new claim. Returns the claim: field, value, field, value ... with the field `id`.
-- A claim left by a run that died is returned first; changes made since wait in the delta for the next run.
if redis.call('EXISTS', KEYS[2]) == 0 and redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('RENAME', KEYS[1], KEYS[2])
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('HSETNX', KEYS[2], 'id', ARGV[1])
end
return redis.call('HGETALL', KEYS[2])
