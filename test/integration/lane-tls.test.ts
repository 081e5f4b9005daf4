import { laneCompliance } from '../support/lane-compliance.ts';
import { tlsLanePair } from '../support/lane-pair.ts';

laneCompliance('TLS', tlsLanePair);
