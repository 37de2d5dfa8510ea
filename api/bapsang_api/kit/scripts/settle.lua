-- Ends a request with an Idempotency-Key, unless its reservation has lapsed and another request holds the key by now.
-- KEYS: the key. ARGV: the reservation, what is kept of the answer ('' when nothing), seconds to keep it.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
end
return 1
